-- KEYS: waiting, stream. ARGV: group, worker, now, limit, lease in ms, most entries of the stream. Moves what is due to the
-- stream, then gives this worker what others left behind and what nobody has been told: pairs of entry and job.
local waiting, stream, group, worker = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local limit = tonumber(ARGV[4])

local due = redis.call('ZRANGEBYSCORE', waiting, '-inf', ARGV[3], 'LIMIT', 0, limit)
for _, id in ipairs(due) do
  redis.call('XADD', stream, 'MAXLEN', '~', ARGV[6], '*', 'job', id)
  redis.call('ZREM', waiting, id)
end
if redis.call('EXISTS', stream) == 0 then return {} end

local answer = {}
local function take(entries)
  for _, entry in ipairs(entries) do
    if entry and entry[2] then answer[#answer + 1] = {entry[1], entry[2][2]} end
  end
end

local left = redis.pcall('XAUTOCLAIM', stream, group, worker, ARGV[5], '0-0', 'COUNT', limit)
if left.err then
  -- No group yet, or no more: Redis has forgotten.
  redis.call('XGROUP', 'CREATE', stream, group, '0')
else
  take(left[2])
end
if #answer < limit then
  local fresh = redis.call('XREADGROUP', 'GROUP', group, worker, 'COUNT', limit - #answer, 'STREAMS', stream, '>')
  if fresh then take(fresh[1][2]) end
end
return answer
