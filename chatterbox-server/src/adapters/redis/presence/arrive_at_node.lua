-- KEYS: leases, users of the node. ARGV: user, name of a new tenure, now, time to keep. Answers the tenure and whether it
-- had to be begun: then its lease ends now.
local current = redis.call('HGET', KEYS[1], 'current')
local fresh = 0
if not current then
  current, fresh = ARGV[2], 1
  redis.call('HSET', KEYS[1], 'current', current, current, ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
redis.call('HSET', KEYS[2], ARGV[1], current)
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return {current, fresh}
