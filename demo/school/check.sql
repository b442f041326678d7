-- Checks the results that the demo has shown.
DO $$
BEGIN
    ASSERT dog_details('Fido') =
           '{"name": "Fido", "tricks": ["roll over", "play dead", "fetch a ball", "sit and stay", "jump hoop"]}',
           dog_details('Fido');
    ASSERT (SELECT (dogs, tricks) FROM school_counts) = (SELECT (count(*) FILTER (WHERE event_name = 'DogRegistered'),
                                                                 count(*) FILTER (WHERE event_name = 'TrickAdded'))
                                                           FROM eall()), 'the counts are wrong';
    ASSERT (SELECT dogs = 2 AND tricks = 6 FROM school_counts), 'events were lost';
    ASSERT NOT EXISTS (SELECT FROM everify()), 'the store is damaged';
END
$$;
