-- Takes from all buckets (KEYS) or from none. Of each bucket ARGV tells capacity, tokens that come back in a second, and
-- tokens to take. A bucket is kept as two doubles (tokens, microseconds since 1970) until it is full
-- again.
local ROUNDING = 1e-6
local KEPT_MAX_MS = 30 * 24 * 3600 * 1000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

-- Microseconds for so many tokens to come back, rounded up; -1 for ever.
local function time_for(tokens, refill)
  if tokens <= ROUNDING then return 0 end
  if refill <= 0 then return -1 end
  return math.ceil(tokens / refill * 1000000)
end

local stored = redis.call('MGET', unpack(KEYS))
local level_of, scarcest = {}, nil
for i, key in ipairs(KEYS) do
  local capacity, refill, cost = tonumber(ARGV[i * 3 - 2]), tonumber(ARGV[i * 3 - 1]), tonumber(ARGV[i * 3])
  -- A key that is named twice pays twice.
  local level = level_of[key]
  if level == nil then
    level = capacity
    if stored[i] then
      local kept, at = struct.unpack('<dd', stored[i])
      -- Redis' clock may be set back.
      local passed = math.max(now - at, 0) / 1000000
      level = math.min(kept + passed * refill, capacity)
    end
  end
  if cost - level > ROUNDING then
    local wait = cost > capacity and -1 or time_for(cost - level, refill)
    return {0, i - 1, wait, time_for(capacity - level, refill)}
  end
  level = math.max(level - cost, 0)
  level_of[key] = level
  if scarcest == nil or level < level_of[KEYS[scarcest]] then scarcest = i end
end

for i, key in ipairs(KEYS) do
  local capacity, refill = tonumber(ARGV[i * 3 - 2]), tonumber(ARGV[i * 3 - 1])
  local missing = capacity - level_of[key]
  if missing > ROUNDING then
    local full = time_for(missing, refill)
    local ttl = (full < 0) and KEPT_MAX_MS or math.min(math.ceil(full / 1000), KEPT_MAX_MS)
    redis.call('SET', key, struct.pack('<dd', level_of[key], now), 'PX', ttl)
  elseif stored[i] then
    redis.call('DEL', key)
  end
end

local capacity, refill = tonumber(ARGV[scarcest * 3 - 2]), tonumber(ARGV[scarcest * 3 - 1])
local level = level_of[KEYS[scarcest]]
return {1, math.floor(level + ROUNDING), time_for(capacity - level, refill), 0}
