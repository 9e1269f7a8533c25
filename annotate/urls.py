from django.urls import path, register_converter

from annotate import figures_views, gold_views, practice_views, review_views, views
from annotate.masks import MaskConverter

register_converter(MaskConverter, "masked")

urlpatterns = [
    path("p/<slug:slug>/judge/", views.judge, name="judge"),
    path("p/<slug:slug>/judge/start/", views.start, name="start_judging"),
    path("p/<slug:slug>/judge/next/", views.upcoming, name="upcoming"),
    path("p/<slug:slug>/judge/take-back/", views.take_back, name="take_back"),
    path("p/<slug:slug>/judge/stay/", views.stay, name="stay"),
    path("p/<slug:slug>/judge/leave/", views.leave, name="leave"),
    path("p/<slug:slug>/judge/mine/", views.mine, name="mine"),
    path("p/<slug:slug>/judge/<masked:comparison>/", views.submit, name="submit"),
    path("p/<slug:slug>/judge/<masked:comparison>/again/", views.again, name="again"),
    path("p/<slug:slug>/judge/<masked:comparison>/edit/<int:of>/", views.edit, name="edit"),
    path("p/<slug:slug>/review/", review_views.judgements, name="review"),
    path("p/<slug:slug>/review/exclude/", review_views.exclude, name="exclude_person"),
    path("p/<slug:slug>/review/exclude/<int:pk>/lift/", review_views.lift, name="lift_exclusion"),
    path("p/<slug:slug>/review/<int:pk>/", review_views.comparison, name="review_comparison"),
    path("p/<slug:slug>/review/<int:pk>/settle/", review_views.settle, name="settle"),
    path("p/<slug:slug>/review/<int:pk>/unsettle/", review_views.unsettle, name="unsettle"),
    path("p/<slug:slug>/review/gold/", gold_views.checks, name="gold"),
    path("p/<slug:slug>/review/gold/add/", gold_views.add, name="add_gold"),
    path("p/<slug:slug>/review/gold/damage/", gold_views.damage, name="add_damaged"),
    path("p/<slug:slug>/review/gold/<int:pk>/take-out/", gold_views.take_out, name="take_out_gold"),
    path("p/<slug:slug>/practice/", practice_views.practise, name="practice"),
    path("p/<slug:slug>/practice/again/", practice_views.again, name="practise_again"),
    path("p/<slug:slug>/practice/<masked:comparison>/", practice_views.say, name="practise"),
    path("p/<slug:slug>/practice/<masked:comparison>/said/", practice_views.feedback, name="practice_feedback"),
    path("p/<slug:slug>/guidelines/", views.guidelines, name="guidelines"),
    path("p/<slug:slug>/numbers/", figures_views.numbers, name="numbers"),
    path("p/<slug:slug>/numbers.json", figures_views.numbers_json, name="numbers_json"),
]
