-- Interference in DSA-110 visibilities, for AOFlagger 3.1 and later.
--
-- A baseline comes as 64 to 768 channels x 6 to 24 integrations, uncalibrated. What is astronomical
-- varies slowly along both axes; what stands out of a smooth fit, alone or with its neighbours in
-- time or frequency, is flagged. The first round of thresholds is insensitive, so that strong
-- interference does not spoil the fit beneath the weak. Autocorrelations are left as they are.
-- tests/validation/rfi.py measures what is detected.

local thresholds = { 2.0, 1.0 } -- of the rounds; 1 is AOFlagger's default sensitivity
local max_gap = 0.2             -- an interval with this fraction unflagged is flagged whole

-- Windows of the fits (integrations, channels), and the sigmas of their Gaussian weights.
local background = { 21, 31, 4.0, 6.0 }
local sky = { 7, 11, 2.0, 3.0 }

-- Returns `data` less its smooth part; the samples that `known` has flagged do not weigh in it.
local function without_smooth_part(data, window, known, before)
  local smooth = data:copy()
  smooth:set_mask(known)
  aoflagger.low_pass_filter(smooth, table.unpack(window))
  local rest = data - smooth
  rest:set_mask(before)
  return rest
end

-- Returns amplitudes whose outliers are flagged; `before` has the flags that were there already.
local function detect(visibilities, before)
  local amplitude = visibilities:convert_to_complex("amplitude")
  local found = before
  for _, threshold in ipairs(thresholds) do
    found = without_smooth_part(amplitude, background, found, before)
    aoflagger.sumthreshold_masked(found, before, threshold, threshold, true, true)
  end
  return found
end

function execute(data)
  local polarizations = data:get_polarizations()
  local found = {}
  for i, polarization in ipairs(polarizations) do
    local visibilities = data:convert_to_polarization(polarization)
    local before = visibilities:copy()
    local outliers = detect(visibilities, before)
    -- Interference can make the sum with a bright source weaker: look again without the source.
    local rest = without_smooth_part(visibilities, sky, outliers, before)
    found[i] = detect(rest, before)
    found[i]:join_mask(outliers)
    aoflagger.scale_invariant_rank_operator_masked(found[i], before, max_gap, max_gap)
  end
  -- What one polarization shows is in the others too.
  for i = 2, #found do
    found[1]:join_mask(found[i])
  end
  for _, polarization in ipairs(polarizations) do
    local visibilities = data:convert_to_polarization(polarization)
    visibilities:join_mask(found[1])
    data:set_polarization_data(polarization, visibilities)
  end
end
