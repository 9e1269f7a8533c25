import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0001_initial'),
        ('train', '0005_rules'),
    ]

    operations = [
        migrations.CreateModel(
            name='Freezing',
            fields=[
                ('job_ptr', models.OneToOneField(auto_created=True, on_delete=django.db.models.deletion.CASCADE, parent_link=True, primary_key=True, serialize=False, to='jobs.job')),
                ('dataset', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='freezing', to='train.dataset')),
            ],
            bases=('jobs.job',),
        ),
    ]
