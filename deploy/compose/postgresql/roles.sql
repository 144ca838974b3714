-- Run once, by PostgreSQL's image, on an empty data folder: the owner of the tables, the role that serves, the database
-- (docs/howto/run-on-postgresql.md). What the role that serves may do, `lockgate db grants` says.
--
-- The passwords are read where the secrets lie: SECRETS, or /run/secrets.
\set ON_ERROR_STOP on
\set owner_password `cat "${SECRETS:-/run/secrets}/database_owner_password"`
\set service_password `cat "${SECRETS:-/run/secrets}/database_service_password"`
CREATE ROLE lockgate_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE lockgate_service LOGIN PASSWORD :'service_password' CONNECTION LIMIT 90;
CREATE DATABASE lockgate OWNER lockgate_owner ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0;
REVOKE ALL ON DATABASE lockgate FROM PUBLIC;
