-- KEYS: nodes, last seen of the user. ARGV: node, tenure ('' for any), time seen, time to remember it. Answers whether the
-- user vanished (1→0).
local before = redis.call('HGET', KEYS[1], ARGV[1])
if not before then return 0 end
if ARGV[2] ~= '' and string.sub(before, 1, -3) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return 1
