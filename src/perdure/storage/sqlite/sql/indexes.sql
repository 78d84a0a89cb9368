-- Indexes that are no part of a schema version: older releases keep them up without knowing of them.

-- claimed activities, by who has them
CREATE INDEX IF NOT EXISTS work_claimed ON work (hub, owner) WHERE owner > 0;
