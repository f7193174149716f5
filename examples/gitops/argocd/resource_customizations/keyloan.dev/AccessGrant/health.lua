local hs = { status = "Progressing", message = "Waiting for Keyloan to process the request" }
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return hs
end
local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  conditions[condition.type] = condition
end
local function message_of(name)
  return conditions[name] ~= nil and conditions[name].message or obj.status.phase
end
local function is_true(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end
local phase = obj.status.phase
if is_true("Stalled") then
  hs.status = "Degraded"
  hs.message = message_of("Stalled")
elseif phase == "Active" then
  -- Also between two links: the borrower asks for the next one.
  hs.status = "Healthy"
  hs.message = message_of("Active")
elseif phase == "Ending" or phase == "Ended" then
  hs.status = "Healthy"
  hs.message = message_of("Ended")
elseif phase == "Lapsed" then
  -- Without Stalled: a tool made the request again after its notAfter.
  hs.status = "Healthy"
  hs.message = message_of("Accepted")
elseif conditions["Approved"] ~= nil and conditions["Approved"].reason == "WaitingForApproval" then
  hs.status = "Suspended"
  hs.message = message_of("Approved")
elseif conditions["Accepted"] ~= nil and conditions["Accepted"].status ~= "True" then
  hs.message = message_of("Accepted")
else
  hs.message = message_of("Active")
end
return hs
