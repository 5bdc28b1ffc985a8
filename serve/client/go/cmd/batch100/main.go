// SPDX-License-Identifier: Apache-2.0

// Command batch100 asks a server for the forecasts of a hundred virtual machines in one call, as a
// scheduler would, prints them, and then measures how long such calls take.
//
//	batch100 -target 127.0.0.1:8500 -model cpu_forecast -steps 10 -features 4
//	batch100 -target unix:/run/auspex.sock -model cpu_forecast -steps 24 -csv windows.csv
//
// The CSV file has a header and one line for each machine and time step, oldest first: the machine's
// name, then its features. Of each machine the last -steps lines are its window. Without -csv the
// windows are made up: a daily wave with noise for each machine.
package main

import (
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"auspex"
)

func main() {
	target := flag.String("target", "127.0.0.1:8500", "HOST:PORT or unix:PATH of the server")
	model := flag.String("model", "", "name of the model")
	version := flag.String("version", "", "version number or alias; empty: current")
	file := flag.String("csv", "", "windows to send; empty: made-up ones")
	vms := flag.Int("vms", 100, "machines to make up")
	steps := flag.Int("steps", 10, "time steps of a window")
	features := flag.Int("features", 4, "features of a made-up window")
	calls := flag.Int("calls", 200, "calls to measure; 0: none")
	timeout := flag.Duration("timeout", time.Second, "deadline of each call")
	show := flag.Int("show", 10, "rows of the table to print; 0: all")
	flag.Parse()
	if *model == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "batch100: -model is missing, or an argument is left over; see -help")
		os.Exit(2)
	}
	if err := run(*target, *model, *version, *file, *vms, *steps, *features, *calls, *show, *timeout); err != nil {
		fmt.Fprintln(os.Stderr, "batch100:", err)
		os.Exit(1)
	}
}

func run(target, model, version, file string, vms, steps, features, calls, show int,
	timeout time.Duration) error {
	names, windows := makeUp(vms, steps, features)
	if file != "" {
		input, err := os.Open(file)
		if err != nil {
			return err
		}
		defer input.Close()
		if names, windows, err = read(input, steps); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	batch, err := auspex.NewBatch(model, windows)
	if err != nil {
		return err
	}
	batch.Version, batch.Keys, batch.NaN = version, names, auspex.Mark
	client, err := auspex.Dial(target)
	if err != nil {
		return err
	}
	defer client.Close()
	result, err := call(client, batch, timeout+5*time.Second) // the first one connects, too
	if err != nil {
		return err
	}
	print(result, show)
	return measure(client, batch, calls, timeout)
}

func call(client *auspex.Client, batch *auspex.Batch, timeout time.Duration) (*auspex.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return client.BatchPredict(ctx, batch)
}

func print(result *auspex.Result, show int) {
	fmt.Printf("%d machines, model %s version %s\n\n%-16s forecast\n", len(result.Status),
		result.Model, result.Version, "vm")
	for i, status := range result.Status {
		if show > 0 && i == show {
			fmt.Printf("... and %d more\n", len(result.Status)-show)
			break
		}
		if status == auspex.RowInputNotFinite {
			fmt.Printf("%-16s none: its window holds a NaN or an infinity\n", result.Keys[i])
			continue
		}
		values := result.Row(i)
		text := []string{}
		for k, value := range values {
			if k == 6 {
				text = append(text, fmt.Sprintf("... (%d values)", len(values)))
				break
			}
			text = append(text, strconv.FormatFloat(float64(value), 'f', 4, 32))
		}
		fmt.Printf("%-16s %s\n", result.Keys[i], strings.Join(text, " "))
	}
}

// measure makes calls one after the other. A call that is refused with a time to come back is made
// again then; it is how a scheduler should behave.
func measure(client *auspex.Client, batch *auspex.Batch, calls int, timeout time.Duration) error {
	if calls == 0 {
		return nil
	}
	took, server := make([]time.Duration, 0, calls), make([]time.Duration, 0, calls)
	refused := 0
	for len(took) < calls {
		start := time.Now()
		result, err := call(client, batch, timeout)
		if wait, retry := auspex.RetryAfter(err); retry {
			refused++
			time.Sleep(wait)
			continue
		}
		if err != nil {
			return err
		}
		took = append(took, time.Since(start))
		server = append(server, result.Total)
	}
	fmt.Printf("\n%d calls of %d machines: p50 %v, p99 %v; on the server p50 %v, p99 %v; %d refused\n",
		calls, batch.Rows, quantile(took, 0.5), quantile(took, 0.99), quantile(server, 0.5),
		quantile(server, 0.99), refused)
	return nil
}

func quantile(times []time.Duration, q float64) time.Duration {
	sorted := append([]time.Duration{}, times...)
	sort.Slice(sorted, func(i, k int) bool { return sorted[i] < sorted[k] })
	at := int(math.Ceil(q*float64(len(sorted)))) - 1
	if at < 0 {
		at = 0
	}
	return sorted[at].Round(time.Microsecond)
}

func makeUp(vms, steps, features int) ([]string, [][][]float32) {
	random := rand.New(rand.NewSource(1))
	names, windows := make([]string, vms), make([][][]float32, vms)
	for vm := range windows {
		names[vm] = fmt.Sprintf("vm-%03d", vm)
		level, phase := 0.2+0.6*random.Float64(), random.Float64()*2*math.Pi
		windows[vm] = make([][]float32, steps)
		for step := range windows[vm] {
			windows[vm][step] = make([]float32, features)
			for feature := range windows[vm][step] {
				wave := math.Sin(phase + 2*math.Pi*float64(step)/24 + float64(feature))
				windows[vm][step][feature] = float32(level + 0.2*wave + 0.02*random.NormFloat64())
			}
		}
	}
	return names, windows
}

func read(input io.Reader, steps int) ([]string, [][][]float32, error) {
	lines := csv.NewReader(input)
	header, err := lines.Read()
	if err != nil {
		return nil, nil, err
	}
	if len(header) < 2 {
		return nil, nil, fmt.Errorf("the header has %d columns: a name and features are needed", len(header))
	}
	names, series := []string{}, map[string][][]float32{}
	for {
		line, err := lines.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		values := make([]float32, len(line)-1)
		for i, text := range line[1:] {
			value, err := strconv.ParseFloat(text, 32)
			if text == "" {
				value, err = math.NaN(), nil // a gap
			}
			if err != nil {
				row, column := lines.FieldPos(i + 1)
				return nil, nil, fmt.Errorf("line %d, column %d: %q is no number", row, column, text)
			}
			values[i] = float32(value)
		}
		if _, known := series[line[0]]; !known {
			names = append(names, line[0])
		}
		series[line[0]] = append(series[line[0]], values)
	}
	windows := make([][][]float32, len(names))
	for i, name := range names {
		all := series[name]
		if len(all) < steps {
			return nil, nil, fmt.Errorf("%s has %d lines, a window takes %d", name, len(all), steps)
		}
		windows[i] = all[len(all)-steps:]
	}
	return names, windows, nil
}
