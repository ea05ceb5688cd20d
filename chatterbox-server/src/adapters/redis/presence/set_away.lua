-- KEYS: nodes of the user. ARGV: node, a (away) or h (here). Nothing if the user has no connection there.
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before then
  redis.call('HSET', KEYS[1], ARGV[1], string.sub(before, 1, -2) .. ARGV[2])
end
