-- The oldest schema whose programs can still work with this database: an update that is taken back must find its settings. A migration
-- that they could not live with (a column that is gone, a value they do not know) raises it to its own number.
CREATE TABLE schema (compatible INTEGER NOT NULL);
INSERT INTO schema (compatible) VALUES (5);
