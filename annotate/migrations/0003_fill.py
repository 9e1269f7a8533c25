from django.db import migrations
from django.db.models import F, OuterRef, Subquery

SHUFFLED = 2**48


def fill(apps, _schema_editor):
    comparison, revision = apps.get_model("annotate", "Comparison"), apps.get_model("annotate", "Revision")
    project = apps.get_model("projects", "Project")
    overlap = project.objects.filter(pk=OuterRef("project")).values("overlap")
    comparison.objects.update(shuffle=F("shuffle") % SHUFFLED, wanted=Subquery(overlap))
    judgement = apps.get_model("annotate", "Judgement")
    of_judgement = judgement.objects.filter(pk=OuterRef("judgement")).values("comparison__project")
    revision.objects.update(project=Subquery(of_judgement))


class Migration(migrations.Migration):
    dependencies = [("annotate", "0002_queue_review_and_checks")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
