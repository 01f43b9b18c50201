from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuthTarget


def _is_presented(call: Call) -> bool:
    dependency, request = call.self, call.args["request"]
    return dependency._header in request.headers or dependency._query in request.query_params


def _is_presented_in_query(call: Call) -> bool:
    return call.self._param in call.args["request"].query_params


PRESET = Preset(
    library="apikeyauth",
    oldest="0.1",
    records="`id` and `name`: `name`, because there is no id; `scopes`; `owner`",
    never="the presented key; `metadata`",
    targets=(
        AuthTarget("apikeyauth.middleware:APIKeyAuth.__call__", when=_is_presented),
        AuthTarget("apikeyauth.middleware:APIKeyHeader.__call__", when="args.api_key"),
        AuthTarget("apikeyauth.middleware:APIKeyQuery.__call__", when=_is_presented_in_query),
    ),
    key_types={
        "apikeyauth.store:KeyInfo": KeyType(id="name", name="name", scopes="scopes", owner="owner"),
    },
)
