from django.urls import path

from generation import views

urlpatterns = [
    path("p/<slug:slug>/sampling/", views.sampling, name="sampling"),
    path("p/<slug:slug>/sampling/<int:pk>/", views.sampling_job, name="sampling_job"),
    path("p/<slug:slug>/sampling/<int:pk>/cancel/", views.cancel_sampling, name="cancel_sampling"),
    path("p/<slug:slug>/sampling/<int:pk>/resume/", views.resume_sampling, name="resume_sampling"),
    path("p/<slug:slug>/policies/", views.policies, name="policies"),
    path("policies/register/", views.register_policy, name="register_policy"),
]
