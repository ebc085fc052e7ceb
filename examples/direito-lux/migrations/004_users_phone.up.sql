-- description: phone number of a user, written by version 2 of the application
-- compatible: >=1.0
-- revert: loses-data: phone numbers written meanwhile; they are copied to the schema perene first
ALTER TABLE users ADD COLUMN phone text;
