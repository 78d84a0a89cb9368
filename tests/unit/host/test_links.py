"""Management links and the JSON of durable client bindings."""

from __future__ import annotations

import json

import pytest

from perdure.host.http.links import LinkTerms, binding_settings, client_binding, management_links, webhook_base


@pytest.mark.parametrize(
    ("hostname", "https", "base"),
    [
        ("localhost:7071", False, "http://localhost:7071/runtime/webhooks/durabletask"),
        ("LOCALHOST:80", False, "http://LOCALHOST:80/runtime/webhooks/durabletask"),
        ("localhost:7071", True, "https://localhost:7071/runtime/webhooks/durabletask"),
        ("app.example", False, "https://app.example/runtime/webhooks/durabletask"),
    ],
)
def test_base(hostname: str, https: bool, base: str) -> None:
    assert webhook_base(hostname, https=https) == base


def test_links_for_clients_have_rewind() -> None:
    links = management_links(LinkTerms("http://h/b", "My Hub", "k&="), "a/b", rewind=True)
    assert list(links) == [
        "id",
        "statusQueryGetUri",
        "sendEventPostUri",
        "terminatePostUri",
        "rewindPostUri",
        "purgeHistoryDeleteUri",
        "restartPostUri",
        "suspendPostUri",
        "resumePostUri",
    ]
    query = "taskHub=My%20Hub&connection=AzureWebJobsStorage&code=k%26%3D"
    assert links["rewindPostUri"] == f"http://h/b/instances/a%2Fb/rewind?reason={{text}}&{query}"
    assert links["purgeHistoryDeleteUri"] == f"http://h/b/instances/a%2Fb?{query}"


def test_binding_json() -> None:
    settings = binding_settings("http://localhost:7071/b", "Hub", "key=", use_forwarded_host=True)
    binding = json.loads(client_binding(settings))
    assert binding["taskHubName"] == "Hub"
    assert binding["connectionName"] is None
    assert binding["rpcBaseUrl"] == "http://localhost:7071/b/"
    assert binding["baseUrl"] == "http://localhost:7071/b"
    assert binding["requiredQueryStringParameters"] == "code=key%3D"
    assert binding["useForwardedHost"] is True
    assert binding["creationUrls"] == {
        "createNewInstancePostUri": ("http://localhost:7071/b/orchestrators/{functionName}[/{instanceId}]?code=key%3D"),
        "createAndWaitOnNewInstancePostUri": (
            "http://localhost:7071/b/orchestrators/{functionName}[/{instanceId}]"
            "?timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}&code=key%3D"
        ),
    }
    assert binding["managementUrls"]["id"] == "INSTANCEID"
    assert binding["managementUrls"]["statusQueryGetUri"].startswith("http://localhost:7071/b/instances/INSTANCEID?")
    assert len(binding["managementUrls"]) == 9
    other = json.loads(client_binding(settings, "Other", "Setting"))
    assert (other["taskHubName"], other["connectionName"]) == ("Other", "Setting")
    assert "taskHub=Other&connection=Setting" in other["managementUrls"]["statusQueryGetUri"]
