-- Interference in DSA-110 visibilities, for AOFlagger 3.1 and later.
--
-- A baseline comes as 64 to 768 channels x 6 to 24 integrations, uncalibrated. What is astronomical
-- varies slowly along both axes; what stands out of a smooth fit, alone or with its neighbours in
-- time or frequency, is flagged. All polarizations are looked at as one: their amplitudes are
-- added. Zeros are what conversion left of missing and bad data (contimg.bad_data), and do not
-- count; so an antenna that has lost one polarization is still searched in the other.
-- Autocorrelations are left as they are. tests/validation/rfi.py measures what is detected.

local rounds = { 1.5, 1.5, 1.5 } -- thresholds against the wide fit, one round after the other
local threshold = 1.0            -- of the last look; 1 is AOFlagger's default sensitivity
local max_gap = 0.1              -- an interval with this fraction unflagged is flagged whole

-- Windows of the fits (integrations, channels), and the sigmas of their Gaussian weights. The wide
-- fit is made on averages, so that it costs little: at most 24 by 192 of them.
local wide = { 5, 91, 2.0, 30.0 }
local wide_grid = { 12, 96 }
local sky = { 7, 11, 2.0, 3.0 }

local upsample = aoflagger.upsample_image or aoflagger.upsample

-- Returns first + second; AOFlagger's data can only be subtracted.
local function sum(first, second)
  local zero = first - first
  return first - (zero - second)
end

-- Returns the sum of the polarizations' amplitudes.
local function total_amplitude(polarizations)
  local total
  for _, visibilities in ipairs(polarizations) do
    local amplitude = visibilities:convert_to_complex("amplitude")
    total = total and sum(total, amplitude) or amplitude
  end
  return total
end

-- Returns `data` less `smooth`, with the flags of `before`.
local function difference(data, smooth, before)
  local rest = data - smooth
  rest:set_mask(before)
  return rest
end

-- Returns `data` less its wide fit; the samples that `known` has flagged do not weigh in it.
local function without_wide_fit(data, known, before, factors)
  local smooth = data:copy()
  smooth:set_mask(known)
  local averaged = aoflagger.downsample(smooth, factors[1], factors[2], true)
  aoflagger.low_pass_filter(averaged, table.unpack(wide))
  upsample(averaged, smooth, table.unpack(factors))
  return difference(data, smooth, before)
end

-- Returns visibilities less the sky, which varies slowly where nothing is flagged.
local function without_sky(visibilities, known, before)
  local smooth = visibilities:copy()
  smooth:set_mask(known)
  aoflagger.low_pass_filter(smooth, table.unpack(sky))
  return difference(visibilities, smooth, before)
end

function execute(data)
  local names = data:get_polarizations()
  local factors = {
    math.max(1, #data:get_times() // wide_grid[1]),
    math.max(1, #data:get_frequencies() // wide_grid[2]),
  }
  local polarizations = {}
  for i, name in ipairs(names) do
    polarizations[i] = data:convert_to_polarization(name)
  end
  local amplitude = total_amplitude(polarizations)
  local before = amplitude:copy()
  before:clear_mask()
  before:flag_zeros()

  -- Each round's fit leaves out what the one before has found: strong and wide interference does
  -- not spoil it for what lies beside.
  local found = before
  for _, level in ipairs(rounds) do
    found = without_wide_fit(amplitude, found, before, factors)
    aoflagger.sumthreshold_masked(found, before, level, level, true, true)
  end

  -- Interference can make the sum with a bright source weaker: look again without the source.
  local rest = {}
  for i, visibilities in ipairs(polarizations) do
    rest[i] = without_sky(visibilities, found, before)
  end
  local last = without_wide_fit(total_amplitude(rest), found, before, factors)
  aoflagger.sumthreshold_masked(last, before, threshold, threshold, true, true)
  last:join_mask(found)
  aoflagger.scale_invariant_rank_operator_masked(last, before, max_gap, max_gap)

  for i, name in ipairs(names) do
    polarizations[i]:join_mask(last)
    data:set_polarization_data(name, polarizations[i])
  end
end
