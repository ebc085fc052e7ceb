-- compatible: <2
ALTER TABLE users DROP COLUMN phone;
