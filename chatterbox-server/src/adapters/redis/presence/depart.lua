-- KEYS: nodes, last seen of the user. ARGV: node, tenure ('' for any), time seen, time to remember it. Answers what has
-- become of the user: 2 vanished (1→0), 3 at no device any more, 0 neither.
local function away()
  local places = redis.call('HVALS', KEYS[1])
  for _, place in ipairs(places) do
    if string.sub(place, -1) ~= 'a' then return false end
  end
  return #places > 0
end
local before = redis.call('HGET', KEYS[1], ARGV[1])
if not before then return 0 end
if ARGV[2] ~= '' and string.sub(before, 1, -3) ~= ARGV[2] then return 0 end
local was_away = away()
redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 1 then
  if not was_away and away() then return 3 end
  return 0
end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return 2
