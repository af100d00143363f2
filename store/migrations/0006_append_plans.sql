-- A connection plans the statements of append_commands once, mostly while the tables are small; a join that reads a
-- whole index looks cheap then, and is kept as they grow. Only probes of an index are left to choose from.
ALTER FUNCTION append_commands SET enable_hashjoin = off;
ALTER FUNCTION append_commands SET enable_mergejoin = off;
ALTER FUNCTION append_commands SET enable_material = off;
