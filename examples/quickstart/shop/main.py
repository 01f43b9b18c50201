"""The service: workspaces, templates and the API keys that may touch them."""

import sqlite3

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from shop import audit, security
from shop.security import CurrentKey, Key
from shop.storage import Connection

app = FastAPI(title="shop")


class NewWorkspace(BaseModel):
    """The body of `POST /workspaces`."""

    id: str
    template: str


class WorkspaceChange(BaseModel):
    """The body of `PATCH /workspaces/{id}`."""

    template: str


class TemplateChange(BaseModel):
    """The body of `PUT /templates/{id}`."""

    image: str


class KeyRights(BaseModel):
    """The body of `PATCH /keys/{id}`."""

    scopes: list[str]
    allow_list: list[str]


class NewKey(KeyRights):
    """The body of `POST /keys`."""

    name: str


class Workspace(BaseModel):
    """A workspace as answered."""

    id: str
    template: str


class Template(BaseModel):
    """A template as answered."""

    id: str
    image: str


class CreatedKey(BaseModel):
    """A new key as answered: the only time its secret is shown."""

    id: str
    api_key: str


@app.get("/workspaces")
def list_workspaces(key: CurrentKey, connection: Connection) -> list[Workspace]:
    """List the workspaces that the key may read."""
    rows = connection.execute("SELECT id, template FROM workspaces ORDER BY id")
    return [Workspace(**row) for row in rows if security.is_allowed(key, "workspace", "read", row["id"])]


@app.post("/workspaces", status_code=201)
def create_workspace(new: NewWorkspace, key: CurrentKey, connection: Connection) -> Workspace:
    """Create a workspace from a template."""
    authorize(connection, key, "workspace", "create", new.id)
    connection.execute("INSERT INTO workspaces VALUES (?, ?)", (new.id, new.template))
    audit.record(connection, key.owner, "create", "workspace", new.id, {"template": new.template})
    return Workspace(id=new.id, template=new.template)


@app.get("/workspaces/{workspace_id}")
def read_workspace(workspace_id: str, key: CurrentKey, connection: Connection) -> Workspace:
    """Return one workspace."""
    authorize(connection, key, "workspace", "read", workspace_id)
    row = existing(connection, "SELECT id, template FROM workspaces WHERE id = ?", workspace_id)
    audit.record(connection, key.owner, "read", "workspace", workspace_id)
    return Workspace(**row)


@app.patch("/workspaces/{workspace_id}")
def update_workspace(workspace_id: str, change: WorkspaceChange, key: CurrentKey, connection: Connection) -> Workspace:
    """Move a workspace to another template."""
    authorize(connection, key, "workspace", "update", workspace_id)
    before = existing(connection, "SELECT id, template FROM workspaces WHERE id = ?", workspace_id)
    connection.execute("UPDATE workspaces SET template = ? WHERE id = ?", (change.template, workspace_id))
    changes = {"from": before["template"], "to": change.template}
    audit.record(connection, key.owner, "update", "workspace", workspace_id, changes)
    return Workspace(id=workspace_id, template=change.template)


@app.delete("/workspaces/{workspace_id}", status_code=204)
def delete_workspace(workspace_id: str, key: CurrentKey, connection: Connection) -> None:
    """Delete a workspace."""
    authorize(connection, key, "workspace", "delete", workspace_id)
    before = existing(connection, "SELECT id, template FROM workspaces WHERE id = ?", workspace_id)
    connection.execute("DELETE FROM workspaces WHERE id = ?", (workspace_id,))
    audit.record(connection, key.owner, "delete", "workspace", workspace_id, {"template": before["template"]})


@app.get("/templates")
def list_templates(key: CurrentKey, connection: Connection) -> list[Template]:
    """List the templates that the key may read."""
    rows = connection.execute("SELECT id, image FROM templates ORDER BY id")
    return [Template(**row) for row in rows if security.is_allowed(key, "template", "read", row["id"])]


@app.put("/templates/{template_id}")
def update_template(template_id: str, change: TemplateChange, key: CurrentKey, connection: Connection) -> Template:
    """Change the image of a template."""
    authorize(connection, key, "template", "update", template_id)
    before = existing(connection, "SELECT id, image FROM templates WHERE id = ?", template_id)
    connection.execute("UPDATE templates SET image = ? WHERE id = ?", (change.image, template_id))
    changes = {"from": before["image"], "to": change.image}
    audit.record(connection, key.owner, "update", "template", template_id, changes)
    return Template(id=template_id, image=change.image)


@app.post("/keys", status_code=201)
def create_key(new: NewKey, key: CurrentKey, connection: Connection) -> CreatedKey:
    """Create an API key for the caller's owner."""
    authorize(connection, key, "api_key", "create", new.name)
    created, presented = security.create_key(connection, new.name, key.owner, new.scopes, new.allow_list)
    audit.record(connection, key.owner, "create", "api_key", created.id, subject=created)
    return CreatedKey(id=created.id, api_key=presented)


@app.patch("/keys/{key_id}")
def narrow_key(key_id: str, rights: KeyRights, key: CurrentKey, connection: Connection) -> KeyRights:
    """Replace the scopes and the allow list of an API key."""
    authorize(connection, key, "api_key", "update", key_id)
    security.narrow_key(connection, known_key(connection, key_id), rights.scopes, rights.allow_list)
    narrowed = known_key(connection, key_id)
    audit.record(connection, key.owner, "update", "api_key", key_id, {"reason": "narrowed"}, subject=narrowed)
    return rights


@app.delete("/keys/{key_id}", status_code=204)
def delete_key(key_id: str, key: CurrentKey, connection: Connection) -> None:
    """Delete an API key."""
    authorize(connection, key, "api_key", "delete", key_id)
    deleted = known_key(connection, key_id)
    security.delete_key(connection, deleted)
    audit.record(connection, key.owner, "delete", "api_key", key_id, subject=deleted)


def authorize(connection: sqlite3.Connection, key: Key, resource_type: str, action: str, resource_id: str) -> None:
    """Refuse an action that the key does not allow, and record the refusal."""
    if not security.is_allowed(key, resource_type, action, resource_id):
        audit.record(connection, key.owner, action, resource_type, resource_id, outcome="denied")
        raise HTTPException(403, f"this API key does not allow {resource_type}:{action} on {resource_id}")


def existing(connection: sqlite3.Connection, query: str, resource_id: str) -> sqlite3.Row:
    """Return the one row that the query finds."""
    row: sqlite3.Row | None = connection.execute(query, (resource_id,)).fetchone()
    if row is None:
        raise HTTPException(404, f"there is no {resource_id}")
    return row


def known_key(connection: sqlite3.Connection, key_id: str) -> Key:
    """Return a stored key."""
    key = security.find_key(connection, key_id)
    if key is None:
        raise HTTPException(404, f"there is no API key {key_id}")
    return key
