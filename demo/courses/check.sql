-- Both rules hold, and nothing is wrong in the store.
DO $$
BEGIN
    ASSERT (SELECT count(*) FROM eall(event_names => '{StudentEnrolled}') WHERE payload->>'course' = 'sql')
         - (SELECT count(*) FROM eall(event_names => '{StudentLeft}') WHERE payload->>'course' = 'sql') = 2;
    ASSERT (SELECT count(*) FROM equery('[{"tags": ["student:ada"], "types": ["StudentEnrolled"]}]')) = 3;
    ASSERT (SELECT count(*) FROM eall(event_names => '{StudentRegistered}')) = 1;
    ASSERT NOT EXISTS (SELECT FROM everify());
END
$$;
