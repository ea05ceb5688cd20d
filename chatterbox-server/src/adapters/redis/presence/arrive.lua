-- KEYS: nodes, last seen of the user. ARGV: node, tenure. Answers what has become of the user: 1 appeared (0→1), 4 at a
-- device again, 0 neither.
local function away()
  local places = redis.call('HVALS', KEYS[1])
  for _, place in ipairs(places) do
    if string.sub(place, -1) ~= 'a' then return false end
  end
  return #places > 0
end
local was_away = away()
local before = redis.call('HGET', KEYS[1], ARGV[1])
local became = 0
if not before and redis.call('HLEN', KEYS[1]) == 0 then became = 1 end
if not before or string.sub(before, 1, -3) ~= ARGV[2] then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':h')
end
redis.call('DEL', KEYS[2])
if was_away and not away() then became = 4 end
return became
