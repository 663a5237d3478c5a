-- `size` has one row, the number of rows to insert.
PRAGMA temp_store = MEMORY;
CREATE TABLE item (id INTEGER PRIMARY KEY, kind INTEGER, name TEXT, price INTEGER);
CREATE TABLE kind (id INTEGER PRIMARY KEY, title TEXT);

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < (SELECT rows FROM size))
INSERT INTO item
SELECT i, i * 7919 % 613, printf('name-%d-%s', i * 31 % 997, substr('abcdefghijklmnopqrstuvwxyz', 1, i % 26)), i * 104729 % 9999
FROM n;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 612)
INSERT INTO kind SELECT i, printf('kind %d', i) FROM n;

CREATE INDEX item_kind ON item (kind, price);
CREATE INDEX item_name ON item (name);
SELECT 'rows', count(*), sum(price), sum(length(name)) FROM item;
SELECT 'joined', title, count(*), sum(price), max(name) FROM item JOIN kind ON kind.id = item.kind
GROUP BY title ORDER BY 4 DESC, title LIMIT 10;
SELECT 'names', count(*), max(many) FROM (SELECT name, count(*) AS many FROM item GROUP BY name);
SELECT 'pairs', count(*) FROM item a JOIN item b ON a.name = b.name AND a.id < b.id;
SELECT 'text', length(group_concat(name, ',')) FROM (SELECT name FROM item ORDER BY price, id);
UPDATE item SET name = name || '-' || price WHERE kind % 3 = 0;
DELETE FROM item WHERE price % 5 = 0;
VACUUM;
SELECT 'left', count(*), sum(price), sum(length(name)) FROM item;
SELECT 'ranked', sum(place * price) FROM (SELECT price, rank() OVER (PARTITION BY kind ORDER BY price, id) AS place FROM item);
PRAGMA integrity_check;
