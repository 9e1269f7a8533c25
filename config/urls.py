"""Every address. Each app keeps its own; the order is the order of the loop."""

from django.urls import include, path

urlpatterns = [
    path("", include("web.urls")),
    path("", include("projects.urls")),
    path("", include("generation.urls")),
    path("", include("annotate.urls")),
    path("", include("train.urls")),
]
