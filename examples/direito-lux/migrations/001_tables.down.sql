DROP TABLE cases;
DROP TABLE users;
DROP TABLE tenants;
