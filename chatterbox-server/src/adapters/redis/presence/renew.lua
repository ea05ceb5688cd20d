-- KEYS: leases, users of the node. ARGV: name of a new tenure, end of the lease, 1 to begin a new tenure in any case, time
-- to keep. Answers the tenure, whether it is new, and the one before if that goes on until it ends.
local current = redis.call('HGET', KEYS[1], 'current')
local held = current and redis.call('HEXISTS', KEYS[1], current) == 1
local answer
if held and ARGV[3] == '0' then
  redis.call('HSET', KEYS[1], current, ARGV[2])
  answer = {current, 0, ''}
else
  if held then
    -- Time for its users to arrive again under the new one.
    redis.call('HSET', KEYS[1], current, ARGV[2])
  end
  redis.call('HSET', KEYS[1], 'current', ARGV[1], ARGV[1], ARGV[2])
  answer = {ARGV[1], 1, held and current or ''}
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return answer
