-- === Courses and students ===
--
-- A course has a number of seats, and a student takes at most three courses.  The
-- event that a student is enrolled belongs to both, so it has a tag for each.
-- setup.sql defines these rules.  Each command returns the position of its event.

-- === Courses, and students in them ===
SELECT define_course('sql', 2) AS "position";
SELECT define_course('c', 10) AS "position", define_course('git', 10) AS "position", define_course('make', 10) AS "position";
SELECT enrol('ada', 'sql') AS "position";
SELECT enrol('ada', 'c') AS "position";
SELECT enrol('ada', 'git') AS "position";
SELECT enrol('bob', 'c') AS "position";

-- === A query finds events by their tags, in whatever streams they are ===
SELECT stream_id, stream_version AS version, event_name, tags FROM equery('[{"tags": ["student:ada"]}]');
-- The state that a decision is made with: the events of this course and of this student.
SELECT state FROM eload_query('enrolment', enrolment_query('bob', 'sql'));

-- === Refused: three courses are enough; there is no such course ===
SELECT enrol('ada', 'make') AS "position";
SELECT enrol('bob', 'cobol') AS "position";

-- === Two sessions want the last seat: client.py ===
\! ./client.py
SELECT stream_version AS version, event_name FROM escan('course-sql');
SELECT enrol('eve', 'sql') AS "position";
-- A seat becomes free.
SELECT leave('ada', 'sql') AS "position" \g /dev/null
SELECT enrol('eve', 'sql') IS NOT NULL AS enrolled;

-- === A name that is unique: no event with its tag, at any position ===
SELECT register_student('1', 'Ada') IS NOT NULL AS registered;
SELECT register_student('2', 'ADA') IS NOT NULL AS registered;
SELECT count(*) FROM equery('[{"tags": ["name:ada"]}]');
