-- Courses and students: rules that no single stream can keep.

CREATE EXTENSION sierra_es;
SELECT create_event_store() \g /dev/null

-- ---------------------------------------------------------------------------
-- The state that a decision needs: how often each tag occurs, and who is where
-- ---------------------------------------------------------------------------

CREATE FUNCTION apply_enrolment(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN CASE e.event_name
        WHEN 'CourseDefined' THEN
            jsonb_set(state, ARRAY['seats', e.payload->>'course'], (e.payload->'seats')::jsonb)
        WHEN 'StudentEnrolled' THEN
            jsonb_set(state, ARRAY['enrolled', (e.payload->>'course') || ' ' || (e.payload->>'student')], 'true')
        WHEN 'StudentLeft' THEN
            state #- ARRAY['enrolled', (e.payload->>'course') || ' ' || (e.payload->>'student')]
        ELSE state
    END;

SELECT create_aggregate('enrolment', 'apply_enrolment', initial => '{"seats": {}, "enrolled": {}}') \g /dev/null

-- ---------------------------------------------------------------------------
-- The rules: a course has a number of seats, a student takes at most three courses
-- ---------------------------------------------------------------------------

CREATE FUNCTION students_of(state jsonb, course text) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    RETURN (SELECT count(*) FROM jsonb_object_keys(state->'enrolled') AS pair WHERE split_part(pair, ' ', 1) = course);

CREATE FUNCTION courses_of(state jsonb, student text) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    RETURN (SELECT count(*) FROM jsonb_object_keys(state->'enrolled') AS pair WHERE split_part(pair, ' ', 2) = student);

CREATE FUNCTION decide_enrol(state jsonb, command jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    student constant text := command->>'student';
    course constant text := command->>'course';
    seats constant bigint := (state->'seats'->>course)::bigint;
BEGIN
    IF seats IS NULL THEN
        RAISE 'there is no course %', course;
    ELSIF state->'enrolled' ? (course || ' ' || student) THEN
        RETURN NULL;  -- Enrolled already: nothing happens.
    ELSIF students_of(state, course) >= seats THEN
        RAISE 'course % is full', course;
    ELSIF courses_of(state, student) >= 3 THEN
        RAISE '% has three courses already', student;
    END IF;
    RETURN jsonb_build_array(jsonb_build_object(
        'stream_id', 'course-' || course, 'event_name', 'StudentEnrolled', 'payload', command,
        'tags', jsonb_build_array('student:' || student, 'course:' || course)));
END
$$;

-- ---------------------------------------------------------------------------
-- Commands
-- ---------------------------------------------------------------------------

-- What the decision is made with: all that happened to this course, and to this student.
CREATE FUNCTION enrolment_query(student text, course text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_array(
        jsonb_build_object('tags', jsonb_build_array('course:' || course)),
        jsonb_build_object('tags', jsonb_build_array('student:' || student)));

CREATE FUNCTION enrol(student text, course text) RETURNS bigint
    LANGUAGE sql
    RETURN (SELECT max(global_position)
              FROM edecide_query('enrolment', enrolment_query(student, course), 'decide_enrol',
                                 jsonb_build_object('student', student, 'course', course)));

CREATE FUNCTION define_course(course text, seats integer) RETURNS bigint
    LANGUAGE sql
    RETURN (eappend('course-' || course, 'CourseDefined', jsonb_build_object('course', course, 'seats', seats),
                    expected_version => 'empty', tags => ARRAY['course:' || course])).global_position;

CREATE FUNCTION leave(student text, course text) RETURNS bigint
    LANGUAGE sql
    RETURN (eappend('course-' || course, 'StudentLeft', jsonb_build_object('student', student, 'course', course),
                    tags => ARRAY['student:' || student, 'course:' || course])).global_position;

-- ---------------------------------------------------------------------------
-- A unique name, and numbers without gaps
-- ---------------------------------------------------------------------------

-- Nobody has taken the name: no event with its tag, at any position.
CREATE FUNCTION register_student(student text, name text) RETURNS bigint
    LANGUAGE sql
    RETURN (eappend('student-' || student, 'StudentRegistered', jsonb_build_object('name', name),
                    tags => ARRAY['name:' || lower(name)],
                    condition => jsonb_build_object('after', -1, 'query', jsonb_build_array(
                        jsonb_build_object('tags', jsonb_build_array('name:' || lower(name))))))).global_position;
