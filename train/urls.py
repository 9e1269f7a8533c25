from django.urls import path

from train import contest_views, views

urlpatterns = [
    path("p/<slug:slug>/rounds/", views.rounds, name="rounds"),
    path("p/<slug:slug>/rounds/launch/", views.launch_round, name="launch_round"),
    path("p/<slug:slug>/rounds/<int:number>/", views.round_page, name="round"),
    path("p/<slug:slug>/rounds/<int:number>/cancel/", views.cancel_round, name="cancel_round"),
    path("p/<slug:slug>/rounds/<int:number>/resume/", views.resume_round, name="resume_round"),
    path("p/<slug:slug>/evaluation/", contest_views.evaluation, name="evaluation"),
    path("p/<slug:slug>/evaluation/<int:pk>/", contest_views.contest, name="contest"),
    path("p/<slug:slug>/evaluation/<int:pk>/stop/", contest_views.stop, name="stop_contest"),
    path("p/<slug:slug>/datasets/", views.datasets, name="datasets"),
    path("p/<slug:slug>/datasets/freeze/", views.freeze_dataset, name="freeze_dataset"),
    path("p/<slug:slug>/datasets/<int:number>/freeze/", views.freeze_again, name="freeze_again"),
    path(
        "p/<slug:slug>/datasets/<int:number>/<slug:part>.jsonl",
        views.download_dataset,
        name="download_dataset",
    ),
]
