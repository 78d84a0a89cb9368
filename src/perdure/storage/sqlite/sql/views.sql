-- What people read with any SQLite shell; documented in docs/reference/tables.md and stable across versions.

DROP VIEW IF EXISTS Instances;
CREATE VIEW Instances AS
SELECT
    i.id AS id,
    i.name AS name,
    CASE i.status
        WHEN 0 THEN 'Running' WHEN 1 THEN 'Completed' WHEN 2 THEN 'ContinuedAsNew' WHEN 3 THEN 'Failed'
        WHEN 4 THEN 'Canceled' WHEN 5 THEN 'Terminated' WHEN 6 THEN 'Pending' WHEN 7 THEN 'Suspended'
    END AS status,
    strftime('%Y-%m-%dT%H:%M:%S', i.created / 1000000, 'unixepoch') || printf('.%06dZ', i.created % 1000000) AS created,
    iif(i.started = 0, NULL,
        strftime('%Y-%m-%dT%H:%M:%S', i.started / 1000000, 'unixepoch') || printf('.%06dZ', i.started % 1000000)
    ) AS started,
    strftime('%Y-%m-%dT%H:%M:%S', i.updated / 1000000, 'unixepoch') || printf('.%06dZ', i.updated % 1000000)
        AS last_updated,
    iif(i.completed = 0, NULL,
        strftime('%Y-%m-%dT%H:%M:%S', i.completed / 1000000, 'unixepoch') || printf('.%06dZ', i.completed % 1000000)
    ) AS completed,
    iif(i.completed = 0, NULL, (i.completed - i.created) / 1e6) AS duration,
    CASE typeof(i.custom_status)
        WHEN 'integer' THEN (SELECT p.body FROM payload p WHERE p.number = i.custom_status AND p.format = 1)
        ELSE i.custom_status
    END AS custom_status,
    i.parent_id AS parent,
    i.version AS version,
    iif(i.kind = 1, 'entity', 'orchestration') AS kind,
    printf('%016x%016x', i.n, i.generation) AS execution,
    i.parked AS parked,
    h.name AS hub
FROM hub h CROSS JOIN instance i ON i.hub = h.number;

DROP VIEW IF EXISTS HistoryEvents;
CREATE VIEW HistoryEvents AS
SELECT
    e.instance AS instance,
    e.execution AS execution,
    row_number() OVER (PARTITION BY e.instance, e.execution ORDER BY e.turn, e.position) AS sequence,
    json_extract(e.event, '$.EventType') AS event_type,
    strftime('%Y-%m-%dT%H:%M:%S', e.at / 1000000, 'unixepoch') || printf('.%06dZ', e.at % 1000000) AS time,
    coalesce(json_extract(e.event, '$.Name'), json_extract(e.event, '$.Operation')) AS name,
    coalesce(json_extract(e.event, '$.ResultSize'), length(json_extract(e.event, '$.Result'))) AS result_size,
    coalesce(
        a.attempt,
        json_extract(e.event, '$.Attempt'),
        iif(json_extract(e.event, '$.EventType') IN ('TaskScheduled', 'SubOrchestrationInstanceCreated'), 1, NULL)
    ) AS attempt,
    coalesce(o.instance_id, a.host) AS host,
    e.task AS task,
    e.at AS microseconds,
    e.hub AS hub
FROM (
    SELECT
        h.name AS hub,
        i.id AS instance,
        printf('%016x%016x', t.n, t.generation) AS execution,
        t.n AS n,
        t.generation AS generation,
        t.turn AS turn,
        v.key AS position,
        v.value AS event,
        coalesce(nullif(json_extract(v.value, '$.Timestamp'), 0), json_extract(t.body, '$[0].Timestamp')) AS at,
        coalesce(
            json_extract(v.value, '$.EventId'),
            json_extract(v.value, '$.TaskScheduledId'),
            json_extract(v.value, '$.TimerId')
        ) AS task,
        json_extract(v.value, '$.EventType') IN ('TaskCompleted', 'TaskFailed') AS ran
    FROM hub h
    CROSS JOIN instance i ON i.hub = h.number
    CROSS JOIN history t ON t.n = i.n
    CROSS JOIN json_each(t.body) v
) e
LEFT JOIN attempt a ON e.ran AND a.n = e.n AND a.generation = e.generation AND a.task = e.task
    AND a.attempt = (
        SELECT max(l.attempt) FROM attempt l WHERE l.n = e.n AND l.generation = e.generation AND l.task = e.task)
LEFT JOIN host o ON o.token = a.host;

DROP VIEW IF EXISTS ManagementOperations;
CREATE VIEW ManagementOperations AS
SELECT
    a.instance_id AS instance,
    strftime('%Y-%m-%dT%H:%M:%S', a.time / 1000000, 'unixepoch') || printf('.%06dZ', a.time % 1000000) AS time,
    a.operation AS operation,
    a.who AS who,
    a.reason AS reason,
    a.result AS result,
    nullif(h.name, '') AS hub
FROM audit a LEFT JOIN hub h ON h.number = a.hub;
