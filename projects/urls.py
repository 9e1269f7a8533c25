from django.urls import path

from projects import views

urlpatterns = [
    path("projects/new/", views.new_project, name="new_project"),
    path("p/<slug:slug>/prompts/", views.prompts, name="prompts"),
    path("p/<slug:slug>/prompts/import/", views.import_prompts, name="import_prompts"),
    path("p/<slug:slug>/prompts/imports/", views.prompt_imports, name="prompt_imports"),
    path("p/<slug:slug>/people/", views.people, name="people"),
    path("p/<slug:slug>/people/add/", views.add_person, name="add_person"),
    path("p/<slug:slug>/people/<int:pk>/role/", views.change_person, name="change_person"),
    path("p/<slug:slug>/people/<int:pk>/remove/", views.remove_person, name="remove_person"),
    path("p/<slug:slug>/settings/", views.settings, name="settings"),
]
