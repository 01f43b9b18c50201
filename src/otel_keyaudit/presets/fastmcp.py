"""fastmcp: its HTTP servers authenticate with the MCP Python SDK, whatever provider they are given."""

from otel_keyaudit.presets import mcp
from otel_keyaudit.presets._definition import Preset

PRESET = Preset(
    library="fastmcp",
    oldest="4.0",
    records=mcp.PRESET.records,
    never=mcp.PRESET.never,
    targets=mcp.PRESET.targets,
    key_types=mcp.PRESET.key_types,
)
