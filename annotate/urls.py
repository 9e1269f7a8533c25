from django.urls import path

from annotate import views

urlpatterns = [
    path("p/<slug:slug>/judge/", views.judge, name="judge"),
    path("p/<slug:slug>/judge/take-back/", views.take_back, name="take_back"),
    path("p/<slug:slug>/judge/<int:comparison>/", views.submit, name="submit"),
    path("p/<slug:slug>/guidelines/", views.guidelines, name="guidelines"),
]
