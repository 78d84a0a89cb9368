-- The tables of design 6.1. Times are microseconds since 1970. Long values need no table of their own: PostgreSQL moves
-- them out of the row, compresses them, and leaves them alone when an update does not touch them.

CREATE TABLE hub (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    schema integer NOT NULL,
    min_reader integer NOT NULL,
    min_writer integer NOT NULL
);

-- Numbers of inbox and work rows of all hubs; given out one by one, so that they grow in the order of the asking.
CREATE SEQUENCE seq CACHE 1;

-- leaving: others may claim its instances. functions: the tag of the functions that the host calls. listens: it hears notifications, else it polls `wakes`.
CREATE TABLE host (
    token bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hub integer NOT NULL,
    beat bigint NOT NULL DEFAULT 0,
    dead boolean NOT NULL DEFAULT false,
    leaving boolean NOT NULL DEFAULT false,
    number bigint NOT NULL DEFAULT 0,
    answer text,
    address text NOT NULL,
    instance_id text NOT NULL,
    names text NOT NULL,
    fingerprint text NOT NULL,
    ttl double precision NOT NULL,
    schema integer NOT NULL,
    functions text NOT NULL,
    listens boolean NOT NULL DEFAULT false,
    wakes bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20);
CREATE INDEX host_living ON host (hub, token) WHERE NOT dead;

CREATE TABLE instance (
    n bigint PRIMARY KEY,
    hub integer NOT NULL,
    id text COLLATE "C" NOT NULL,
    kind integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    version text NOT NULL,
    generation integer NOT NULL DEFAULT 0,
    turn integer NOT NULL DEFAULT 0,
    status integer NOT NULL,
    owner bigint NOT NULL DEFAULT 0,
    not_before bigint NOT NULL DEFAULT 0,
    first_turn integer NOT NULL DEFAULT 0,
    "cursor" integer NOT NULL DEFAULT 0,
    suspect integer NOT NULL DEFAULT 0,
    parked text,
    lock_holder bigint NOT NULL DEFAULT 0,
    parent_n bigint NOT NULL DEFAULT 0,
    parent_generation integer NOT NULL DEFAULT 0,
    parent_task integer NOT NULL DEFAULT -1,
    parent_id text,
    created bigint NOT NULL,
    started bigint NOT NULL DEFAULT 0,
    updated bigint NOT NULL,
    completed bigint NOT NULL DEFAULT 0,
    tags text,
    input text,
    output text,
    custom_status text,
    state text
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX instance_id ON instance (hub, id);
CREATE INDEX instance_created ON instance (hub, created, n);
CREATE INDEX instance_status ON instance (hub, status, n);
-- What has something to do without a message, by who owns it: nobody (0), or a host that may have died meanwhile.
CREATE INDEX instance_ready ON instance (hub, owner, not_before)
    WHERE parked IS NULL AND status IN (0, 2, 6) AND ("cursor" > 0 OR (first_turn = 0 AND kind = 0));

CREATE TABLE history (
    n bigint NOT NULL,
    generation integer NOT NULL,
    turn integer NOT NULL,
    format smallint NOT NULL DEFAULT 1,
    flags integer NOT NULL DEFAULT 0,
    body text NOT NULL,
    PRIMARY KEY (n, generation, turn)
);

-- due 0: the queue, else kept back until then. seq below zero: ahead of the queue. held: the instance was suspended,
-- parked or had failed, and the message could not move it. control: 1 reaches a suspended or parked instance, 2 a
-- finished one too.
CREATE TABLE inbox (
    n bigint NOT NULL,
    seq bigint NOT NULL,
    hub integer NOT NULL,
    kind text NOT NULL,
    control smallint NOT NULL DEFAULT 0,
    generation integer NOT NULL,
    task integer NOT NULL,
    due bigint NOT NULL DEFAULT 0,
    held boolean NOT NULL DEFAULT false,
    body text NOT NULL,
    PRIMARY KEY (n, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
CREATE INDEX inbox_waiting ON inbox (hub, n) WHERE due = 0 AND NOT held;
CREATE INDEX inbox_due ON inbox (hub, due, seq) WHERE due > 0 AND NOT held;

-- owner 0: unclaimed. request: which claim of its owner took it. key: the function's name in lower case.
CREATE TABLE work (
    n bigint NOT NULL,
    generation integer NOT NULL,
    task integer NOT NULL,
    hub integer NOT NULL,
    seq bigint NOT NULL,
    function text NOT NULL,
    key text COLLATE "C" NOT NULL,
    input text,
    owner bigint NOT NULL DEFAULT 0,
    request bigint NOT NULL DEFAULT 0,
    attempt integer NOT NULL DEFAULT 1,
    suspect integer NOT NULL DEFAULT 0,
    not_before bigint NOT NULL DEFAULT 0,
    scheduled bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (n, generation, task)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
-- Unclaimed activities, and those of each host: claims of the dead are found without a walk.
CREATE INDEX work_owner ON work (hub, owner, seq);

CREATE TABLE attempt (
    n bigint NOT NULL,
    generation integer NOT NULL,
    task integer NOT NULL,
    attempt integer NOT NULL,
    scheduled bigint NOT NULL,
    started bigint NOT NULL,
    finished bigint NOT NULL,
    host bigint NOT NULL,
    worker text NOT NULL,
    failure text,
    PRIMARY KEY (n, generation, task, attempt)
);

CREATE TABLE setting (
    hub integer NOT NULL,
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (hub, kind, key)
);

CREATE TABLE audit (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hub integer NOT NULL,
    n bigint NOT NULL,
    instance_id text NOT NULL,
    time bigint NOT NULL,
    operation text NOT NULL,
    who text,
    reason text
);
CREATE INDEX audit_instance ON audit (n);

-- The store's clock, in microseconds: the only one that counts.
CREATE FUNCTION now_us() RETURNS bigint LANGUAGE sql VOLATILE AS
    $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;

-- The control that a message needs to give an instance something to do: 0 any, 1 when it is suspended or parked, 2 when
-- it is finished.
CREATE FUNCTION least_control(kind integer, status integer, parked text) RETURNS integer LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN kind = 0 AND status IN (1, 3, 4, 5) THEN 2 WHEN status = 7 OR parked IS NOT NULL THEN 1
       ELSE 0 END $$;
