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
FROM instance i JOIN hub h ON h.number = i.hub;

DROP VIEW IF EXISTS HistoryEvents;
CREATE VIEW HistoryEvents AS
SELECT
    e.instance AS instance,
    e.execution AS execution,
    row_number() OVER (PARTITION BY e.instance, e.execution ORDER BY e.turn, e.position) AS sequence,
    e.event_type AS event_type,
    strftime('%Y-%m-%dT%H:%M:%S', e.at / 1000000, 'unixepoch') || printf('.%06dZ', e.at % 1000000) AS time,
    e.name AS name,
    e.result_size AS result_size,
    e.attempt AS attempt,
    e.host AS host,
    e.task AS task,
    e.at AS microseconds,
    e.turn AS turn
FROM (
    SELECT
        i.id AS instance,
        printf('%016x%016x', t.n, t.generation) AS execution,
        t.turn AS turn,
        v.key AS position,
        json_extract(v.value, '$.EventType') AS event_type,
        coalesce(nullif(json_extract(v.value, '$.Timestamp'), 0), json_extract(t.body, '$[0].Timestamp')) AS at,
        json_extract(v.value, '$.Name') AS name,
        coalesce(json_extract(v.value, '$.ResultSize'), length(json_extract(v.value, '$.Result'))) AS result_size,
        coalesce(
            json_extract(v.value, '$.Attempt'),
            iif(json_extract(v.value, '$.EventType') IN ('TaskScheduled', 'SubOrchestrationInstanceCreated'), 1, a.attempt)
        ) AS attempt,
        coalesce(o.instance_id, a.host) AS host,
        coalesce(json_extract(v.value, '$.EventId'), json_extract(v.value, '$.TaskScheduledId'), json_extract(v.value, '$.TimerId')) AS task
    FROM instance i
    CROSS JOIN history t ON t.n = i.n
    CROSS JOIN json_each(t.body) v
    LEFT JOIN attempt a
        ON json_extract(v.value, '$.EventType') IN ('TaskCompleted', 'TaskFailed')
        AND a.n = t.n AND a.generation = t.generation AND a.task = (json_extract(v.value, '$.TaskScheduledId'))
        AND a.attempt = (
            SELECT max(l.attempt) FROM attempt l WHERE l.n = t.n AND l.generation = t.generation AND l.task = a.task
        )
    LEFT JOIN host o ON o.token = a.host
) e;
