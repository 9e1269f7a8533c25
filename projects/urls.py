from django.urls import path

from projects import account_views, people_views, views

urlpatterns = [
    path("projects/new/", views.new_project, name="new_project"),
    path("p/<slug:slug>/prompts/", views.prompts, name="prompts"),
    path("p/<slug:slug>/prompts/import/", views.import_prompts, name="import_prompts"),
    path("p/<slug:slug>/prompts/imports/", views.prompt_imports, name="prompt_imports"),
    path("p/<slug:slug>/people/", people_views.people, name="people"),
    path("p/<slug:slug>/people/add/", people_views.add_person, name="add_person"),
    path("p/<slug:slug>/people/<int:pk>/role/", people_views.change_person, name="change_person"),
    path("p/<slug:slug>/people/<int:pk>/remove/", people_views.remove_person, name="remove_person"),
    path("p/<slug:slug>/people/links/", people_views.make_link, name="make_link"),
    path("p/<slug:slug>/people/links/<int:pk>/withdraw/", people_views.withdraw_link, name="withdraw_link"),
    path("p/<slug:slug>/leave/", people_views.leave_project, name="leave_project"),
    path("join/<str:token>/", people_views.join, name="join"),
    path("join/<str:token>/account/", people_views.join_with_new_account, name="join_with_new_account"),
    path("people/", account_views.accounts, name="accounts"),
    path("people/<int:pk>/deactivate/", account_views.deactivate_account, name="deactivate_account"),
    path("people/<int:pk>/reactivate/", account_views.reactivate_account, name="reactivate_account"),
    path("p/<slug:slug>/settings/", views.settings, name="settings"),
]
