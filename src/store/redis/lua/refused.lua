-- Marks an id whose sign-in was refused after it was written. The entry must stay, because another sign-in of the same
-- session may be on its way; but it counts no more, and the session does not end with those of the user. Where another
-- sign-in has written the id since, it has another score and stays as it is.
-- KEYS[1]  the index (index.lua)
-- ARGV     1 session id · 2 the score that it was written with
-- Answer   1 if it was marked
return mark_refused(KEYS[1], ARGV[1], ARGV[2])
