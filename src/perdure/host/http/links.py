"""Management URLs, and the JSON of the durableClient binding. Used by the webhook API and by workers."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from msgspec import Struct

WEBHOOK_PATH = "/runtime/webhooks/durabletask"
DEFAULT_CONNECTION = "AzureWebJobsStorage"
_PLACEHOLDER_ID = "INSTANCEID"


class LinkTerms(Struct, frozen=True):
    """What all links of a hub have in common: where the webhook API is, the hub, the key."""

    base: str
    task_hub: str
    code: str
    connection: str = DEFAULT_CONNECTION

    def query(self) -> str:
        """The query that every link ends with; a client from outside may know neither hub nor key."""
        pairs = (("taskHub", self.task_hub), ("connection", self.connection), ("code", self.code))
        return "&".join(f"{name}={_enc(value)}" for name, value in pairs if value)


def _enc(text: str) -> str:
    return quote(text, safe="")


def management_links(terms: LinkTerms, instance_id: str, *, rewind: bool) -> dict[str, str]:
    """The links of one instance in the published order; `rewind` as clients get them, without as the webhook does."""
    instance = f"{terms.base}/instances/{_enc(instance_id)}"
    query = terms.query()
    links = {
        "id": instance_id,
        "statusQueryGetUri": f"{instance}?{query}",
        "sendEventPostUri": f"{instance}/raiseEvent/{{eventName}}?{query}",
        "terminatePostUri": f"{instance}/terminate?reason={{text}}&{query}",
        "rewindPostUri": f"{instance}/rewind?reason={{text}}&{query}",
        "purgeHistoryDeleteUri": f"{instance}?{query}",
        "restartPostUri": f"{instance}/restart?{query}",
        "suspendPostUri": f"{instance}/suspend?reason={{text}}&{query}",
        "resumePostUri": f"{instance}/resume?reason={{text}}&{query}",
    }
    if not rewind:
        del links["rewindPostUri"]
    return links


def webhook_base(hostname: str, *, https: bool = False) -> str:
    """The base of the webhook API for an authority, as WEBSITE_HOSTNAME gives it."""
    local = hostname.lower().startswith("localhost:") or hostname.lower() == "localhost"
    return f"{'http' if local and not https else 'https'}://{hostname}{WEBHOOK_PATH}"


def client_binding(settings: dict[str, Any], task_hub: str | None = None, connection: str | None = None) -> str:
    """The JSON text of a durableClient binding. `settings` is what `binding_settings` made in the host.

    `task_hub` and `connection` are attributes of the binding, where it has them.
    """
    terms = LinkTerms(
        base=settings["base"],
        task_hub=task_hub or settings["task_hub"],
        code=settings["code"],
        connection=connection or DEFAULT_CONNECTION,
    )
    code = f"code={_enc(terms.code)}"
    create = f"{terms.base}/orchestrators/{{functionName}}[/{{instanceId}}]?"
    return json.dumps(
        {
            "taskHubName": terms.task_hub,
            "connectionName": connection,
            "creationUrls": {
                "createNewInstancePostUri": create + code,
                "createAndWaitOnNewInstancePostUri": (
                    f"{create}timeout={{timeoutInSeconds}}&pollingInterval={{intervalInSeconds}}&{code}"
                ),
            },
            "managementUrls": management_links(terms, _PLACEHOLDER_ID, rewind=True),
            "baseUrl": terms.base,
            "requiredQueryStringParameters": code,
            "rpcBaseUrl": terms.base + "/",
            "httpBaseUrl": terms.base,
            "useForwardedHost": settings["use_forwarded_host"],
        }
    )


def binding_settings(base: str, task_hub: str, code: str, *, use_forwarded_host: bool) -> dict[str, Any]:
    """What `client_binding` needs in a worker, as JSON values."""
    return {"base": base, "task_hub": task_hub, "code": code, "use_forwarded_host": use_forwarded_host}
