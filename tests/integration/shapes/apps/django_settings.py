"""The settings of the Django project."""

SECRET_KEY = "long enough and made up"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "integration.shapes.apps.django_middleware"
MIDDLEWARE = ["integration.shapes.apps.django_middleware.KeyMiddleware"]
