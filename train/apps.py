from django.apps import AppConfig


class TrainConfig(AppConfig):
    name = "train"

    def ready(self) -> None:
        from train import contests

        contests.listen()
