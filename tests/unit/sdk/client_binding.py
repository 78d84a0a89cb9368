"""A durable client binding as hosts hand it out."""

from __future__ import annotations

import json

BASE = "http://localhost:7071/runtime/webhooks/durabletask"
QUERY = "taskHub=hub&connection=Storage&code=K"
RPC = f"{BASE}/"
BINDING = json.dumps(
    {
        "taskHubName": "hub",
        "creationUrls": {
            "createNewInstancePostUri": f"{BASE}/orchestrators/{{functionName}}[/{{instanceId}}]?code=K",
        },
        "managementUrls": {
            "id": "INSTANCEID",
            "statusQueryGetUri": f"{BASE}/instances/INSTANCEID?{QUERY}",
            "sendEventPostUri": f"{BASE}/instances/INSTANCEID/raiseEvent/{{eventName}}?{QUERY}",
            "terminatePostUri": f"{BASE}/instances/INSTANCEID/terminate?reason={{text}}&{QUERY}",
            "rewindPostUri": f"{BASE}/instances/INSTANCEID/rewind?reason={{text}}&{QUERY}",
            "purgeHistoryDeleteUri": f"{BASE}/instances/INSTANCEID?{QUERY}",
            "restartPostUri": f"{BASE}/instances/INSTANCEID/restart?{QUERY}",
            "suspendPostUri": f"{BASE}/instances/INSTANCEID/suspend?reason={{text}}&{QUERY}",
            "resumePostUri": f"{BASE}/instances/INSTANCEID/resume?reason={{text}}&{QUERY}",
        },
        "baseUrl": BASE,
        "requiredQueryStringParameters": "code=K",
        "rpcBaseUrl": RPC,
    }
)
