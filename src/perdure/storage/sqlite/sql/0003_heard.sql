-- When a host last gave a sign of life. 0: it is of a release that does not write it.
ALTER TABLE host ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;
