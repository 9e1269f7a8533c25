from django.contrib.auth import views as auth
from django.urls import path

from web import views

urlpatterns = [
    path("", views.home, name="home"),
    path("sign-in/", views.SignIn.as_view(), name="login"),
    path("sign-out/", auth.LogoutView.as_view(), name="logout"),
    path("password/", views.ChangePassword.as_view(), name="password_change"),
    path("p/<slug:slug>/", views.project, name="project"),
]
