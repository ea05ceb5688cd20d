-- KEYS: leases of the node. ARGV: tenure, now, how long a claim is left alone. Answers what became of it and when the
-- lease ends.
local lease = redis.call('HGET', KEYS[1], ARGV[1])
if not lease then return {'gone', 0} end
if tonumber(lease) >= tonumber(ARGV[2]) then return {'held', tonumber(lease)} end
local time = redis.call('TIME')
local clock = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local by = redis.call('HGET', KEYS[1], 'by:' .. ARGV[1])
if by and tonumber(by) > clock then return {'busy', 0} end
redis.call('HSET', KEYS[1], 'by:' .. ARGV[1], string.format('%.0f', clock + tonumber(ARGV[3])))
-- The node, should it live, begins a new tenure.
if redis.call('HGET', KEYS[1], 'current') == ARGV[1] then redis.call('HDEL', KEYS[1], 'current') end
return {'claimed', tonumber(lease)}
