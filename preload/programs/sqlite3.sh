exec sqlite3 -batch -bail -cmd "CREATE TABLE size AS SELECT $1 AS rows" :memory: <work.sql
