"""The settings of the Django project with the REST framework."""

SECRET_KEY = "long enough and made up"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "integration.shapes.apps.drf_class"
REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}
