-- KEYS: nodes of the user. ARGV: node, a (away) or h (here). Nothing if the user has no connection there. Answers what has
-- become of the user: 3 at no device any more, 4 at one again, 0 neither.
local function away()
  local places = redis.call('HVALS', KEYS[1])
  for _, place in ipairs(places) do
    if string.sub(place, -1) ~= 'a' then return false end
  end
  return #places > 0
end
local before = redis.call('HGET', KEYS[1], ARGV[1])
if not before then return 0 end
local was_away = away()
redis.call('HSET', KEYS[1], ARGV[1], string.sub(before, 1, -2) .. ARGV[2])
local is_away = away()
if is_away and not was_away then return 3 end
if was_away and not is_away then return 4 end
return 0
