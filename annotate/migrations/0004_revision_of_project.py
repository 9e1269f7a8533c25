import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotate", "0003_fill"), ("projects", "0002_judging_and_people")]
    operations = [
        migrations.AlterField(
            model_name="revision",
            name="project",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="revisions", to="projects.project"
            ),
        )
    ]
