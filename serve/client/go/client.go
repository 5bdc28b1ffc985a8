// SPDX-License-Identifier: Apache-2.0

// Package auspex asks an Auspex server for forecasts, hundreds of machines a call.
//
//	client, err := auspex.Dial("127.0.0.1:8500")
//	batch, err := auspex.NewBatch("cpu_forecast", windows) // [vm][step][feature]
//	result, err := client.BatchPredict(ctx, batch)
//	for vm := range windows {
//		if result.Status[vm] == auspex.RowOK {
//			use(result.Row(vm))
//		}
//	}
//
// A model of trees takes a table, NaN where a value is missing: NewTable for XGBoost, whose features
// and predictions are float32, NewTable64 for LightGBM, whose are float64.
//
// A Client may be shared by any number of goroutines; its calls go over one connection.
package auspex

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"auspex/auspexv1"
)

// MaxMessageBytes is the largest reply a Client takes, as large as what a server takes by default.
const MaxMessageBytes = 64 << 20

// NaNPolicy says what the server does with rows whose input holds a NaN or an infinity.
type NaNPolicy = auspexv1.NanPolicy

// The policies. The zero value means Reject, but for models of tree ensembles: those take NaN for
// "missing", and the row is RowOK.
const (
	Reject    = auspexv1.NanPolicy_NAN_POLICY_REJECT    // fail the call
	Mark      = auspexv1.NanPolicy_NAN_POLICY_MARK      // answer the other rows
	Propagate = auspexv1.NanPolicy_NAN_POLICY_PROPAGATE // compute them all the same
)

// ValueType says what a block of values holds.
type ValueType = auspexv1.ValueType

// The value types; the zero value means Float32.
const (
	Float32 = auspexv1.ValueType_VALUE_TYPE_FLOAT32
	Float64 = auspexv1.ValueType_VALUE_TYPE_FLOAT64
)

// RowStatus says whether a row's answer can be used. Take any value but RowOK for "no".
type RowStatus uint8

// The values of RowStatus.
const (
	RowOK              RowStatus = 0
	RowInputNotFinite  RowStatus = 1
	RowOutputNotFinite RowStatus = 2
)

// Client is a connection to one server.
type Client struct {
	conn      *grpc.ClientConn
	inference auspexv1.InferenceClient
	health    grpc_health_v1.HealthClient
}

// Dial makes a Client for HOST:PORT or unix:PATH. It connects when the first call is made, and again
// whenever the connection was lost. Options are added to the package's own: plaintext, and replies
// of up to MaxMessageBytes.
func Dial(target string, options ...grpc.DialOption) (*Client, error) {
	all := append([]grpc.DialOption{
		grpc.WithInsecure(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessageBytes)),
	}, options...)
	conn, err := grpc.Dial(target, all...)
	if err != nil {
		return nil, fmt.Errorf("auspex: %w", err)
	}
	return &Client{conn, auspexv1.NewInferenceClient(conn), grpc_health_v1.NewHealthClient(conn)}, nil
}

// Close ends the connection; calls under way fail.
func (c *Client) Close() error { return c.conn.Close() }

// Batch is one request. Values holds [Rows, Steps, Features], the features of one step side by side;
// Values64 is sent in its place if it is not nil, for models that tell such values apart (LightGBM's).
type Batch struct {
	Model    string
	Version  string // a number, an alias, or "" for what the repository calls current
	Output   string // "" for the model's first
	Rows     int
	Steps    int // 0 or 1 for a model without a time axis
	Features int
	Values   []float32
	Values64 []float64
	Want     ValueType // of the answer: Float64 for Result.Values64
	Keys     []string  // none, or the name of each row; they come back in the Result
	Lengths  []uint32  // none, or the steps in use of each row, for models that take them
	NaN      NaNPolicy
}

// NewBatch packs windows of [row][step][feature], which must all have the same extents.
func NewBatch(model string, windows [][][]float32) (*Batch, error) {
	batch := &Batch{Model: model, Rows: len(windows)}
	if len(windows) == 0 || len(windows[0]) == 0 {
		return nil, errors.New("auspex: no windows, or windows without steps")
	}
	batch.Steps, batch.Features = len(windows[0]), len(windows[0][0])
	batch.Values = make([]float32, 0, batch.Rows*batch.Steps*batch.Features)
	for row, window := range windows {
		if len(window) != batch.Steps {
			return nil, fmt.Errorf("auspex: window %d has %d steps, the first one %d",
				row, len(window), batch.Steps)
		}
		for step, features := range window {
			if len(features) != batch.Features {
				return nil, fmt.Errorf("auspex: window %d has %d features at step %d, the first one %d",
					row, len(features), step, batch.Features)
			}
			batch.Values = append(batch.Values, features...)
		}
	}
	return batch, nil
}

// NewTable packs rows of features for a model without a time axis.
func NewTable(model string, rows [][]float32) (*Batch, error) {
	windows := make([][][]float32, len(rows))
	for i := range rows {
		windows[i] = rows[i : i+1]
	}
	return NewBatch(model, windows)
}

// NewTable64 packs rows of float64 features and wants its answers in float64 too: Result.Values64.
func NewTable64(model string, rows [][]float64) (*Batch, error) {
	if len(rows) == 0 {
		return nil, errors.New("auspex: no rows")
	}
	batch := &Batch{Model: model, Rows: len(rows), Steps: 1, Features: len(rows[0]), Want: Float64}
	batch.Values64 = make([]float64, 0, batch.Rows*batch.Features)
	for row, features := range rows {
		if len(features) != batch.Features {
			return nil, fmt.Errorf("auspex: row %d has %d features, the first one %d",
				row, len(features), batch.Features)
		}
		batch.Values64 = append(batch.Values64, features...)
	}
	return batch, nil
}

// Result is the answer to a Batch. Values holds [rows, Outputs]; if Float64 was wanted, Values64 does,
// and Values is nil.
type Result struct {
	Model   string
	Version string // the number of the version that answered
	Outputs int
	Values  []float32
	// Values64 is nil if the server answered in float32, as one does that does not know Batch.Want.
	Values64 []float64
	Status   []RowStatus
	Keys     []string
	Queue    time.Duration // on the server, until the first rows were computed
	Compute  time.Duration // on the server, from the first rows to the last
	Total    time.Duration // on the server, from arrival to reply
}

// Row is the answer for row i, a part of Values.
func (r *Result) Row(i int) []float32 { return r.Values[i*r.Outputs : (i+1)*r.Outputs] }

// Row64 is the answer for row i, a part of Values64.
func (r *Result) Row64(i int) []float64 { return r.Values64[i*r.Outputs : (i+1)*r.Outputs] }

// Error is what a failed call returns.
type Error struct {
	Code    codes.Code
	Field   string // the field of the request at fault, or ""
	Message string
	// RetryAfter is the time after which the server wants to be asked again; HasRetry says whether
	// it named one. Without it, asking the same server again soon will not help.
	RetryAfter time.Duration
	HasRetry   bool
}

func (e *Error) Error() string {
	return fmt.Sprintf("auspex: %s: %s", e.Code, e.Message)
}

// GRPCStatus lets status.Code and status.FromError look into an Error.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

// RetryAfter tells whether the server that gave this error wants to be asked again, and when.
func RetryAfter(err error) (time.Duration, bool) {
	var e *Error
	if errors.As(err, &e) && e.HasRetry {
		return e.RetryAfter, true
	}
	return 0, false
}

var fields = map[string]bool{
	"model": true, "version": true, "rows": true, "steps": true, "features": true, "values": true,
	"keys": true, "lengths": true, "nan_policy": true, "output": true, "value_type": true, "output_type": true,
}

func newError(err error, trailer metadata.MD) *Error {
	s := status.Convert(err)
	e := &Error{Code: s.Code(), Message: s.Message()}
	if colon := strings.Index(e.Message, ": "); colon > 0 && fields[e.Message[:colon]] {
		e.Field = e.Message[:colon]
	}
	if pushback := trailer.Get("grpc-retry-pushback-ms"); len(pushback) == 1 {
		if ms, err := strconv.ParseInt(pushback[0], 10, 32); err == nil && ms >= 0 {
			e.RetryAfter, e.HasRetry = time.Duration(ms)*time.Millisecond, true
		}
	}
	return e
}

// BatchPredict asks for all rows of the batch. Give ctx a deadline: the server reads it, refuses at
// once what it cannot finish in time, and drops what nobody waits for any more. Errors are *Error.
func (c *Client) BatchPredict(ctx context.Context, batch *Batch) (*Result, error) {
	steps := batch.Steps
	if steps == 0 {
		steps = 1
	}
	count, valueType := len(batch.Values), auspexv1.ValueType_VALUE_TYPE_UNSPECIFIED
	if batch.Values64 != nil {
		count, valueType = len(batch.Values64), Float64
	}
	if batch.Rows < 0 || steps < 0 || batch.Features < 0 || count != batch.Rows*steps*batch.Features {
		return nil, &Error{Code: codes.InvalidArgument, Field: "values", Message: fmt.Sprintf(
			"values: %d do not make %d rows x %d steps x %d features",
			count, batch.Rows, steps, batch.Features)}
	}
	var trailer metadata.MD
	reply, err := c.inference.BatchPredict(ctx, &auspexv1.BatchPredictRequest{
		Model:     batch.Model,
		Version:   batch.Version,
		Output:    batch.Output,
		Rows:      uint32(batch.Rows),
		Steps:     uint32(batch.Steps),
		Features:  uint32(batch.Features),
		Values:    packBatch(batch),
		Keys:      batch.Keys,
		Lengths:   batch.Lengths,
		NanPolicy: batch.NaN,

		ValueType:  valueType,
		OutputType: batch.Want,
	}, grpc.Trailer(&trailer))
	if err != nil {
		return nil, newError(err, trailer)
	}
	return newResult(batch.Rows, reply)
}

func newResult(rows int, reply *auspexv1.BatchPredictReply) (*Result, error) {
	size := uint64(4)
	switch reply.ValueType {
	case auspexv1.ValueType_VALUE_TYPE_UNSPECIFIED, Float32:
	case Float64:
		size = 8
	default:
		return nil, &Error{Code: codes.Internal, Message: fmt.Sprintf(
			"the reply's values have a type that this client does not know: %d", reply.ValueType)}
	}
	if int(reply.Rows) != rows || len(reply.Status) != rows ||
		uint64(len(reply.Values)) != size*uint64(reply.Rows)*uint64(reply.Outputs) {
		return nil, &Error{Code: codes.Internal, Message: fmt.Sprintf(
			"the reply does not fit the request: %d rows, %d status bytes, %d bytes of values",
			reply.Rows, len(reply.Status), len(reply.Values))}
	}
	result := &Result{
		Model:   reply.Model,
		Version: reply.Version,
		Outputs: int(reply.Outputs),
		Status:  make([]RowStatus, rows),
		Keys:    reply.Keys,
		Queue:   time.Duration(reply.QueueUs) * time.Microsecond,
		Compute: time.Duration(reply.ComputeUs) * time.Microsecond,
		Total:   time.Duration(reply.TotalUs) * time.Microsecond,
	}
	if size == 8 {
		result.Values64 = unpack64(reply.Values)
	} else {
		result.Values = unpack(reply.Values)
	}
	for i, s := range reply.Status {
		result.Status[i] = RowStatus(s)
	}
	return result, nil
}

// Serving asks whether the server serves this model; "" asks for any.
func (c *Client) Serving(ctx context.Context, model string) (bool, error) {
	response, err := c.health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: model})
	if err != nil {
		return false, newError(err, nil)
	}
	return response.Status == grpc_health_v1.HealthCheckResponse_SERVING, nil
}

func packBatch(batch *Batch) []byte {
	if batch.Values64 == nil {
		return pack(batch.Values)
	}
	bytes := make([]byte, 8*len(batch.Values64))
	for i, value := range batch.Values64 {
		binary.LittleEndian.PutUint64(bytes[8*i:], math.Float64bits(value))
	}
	return bytes
}

func pack(values []float32) []byte {
	bytes := make([]byte, 4*len(values))
	for i, value := range values {
		binary.LittleEndian.PutUint32(bytes[4*i:], math.Float32bits(value))
	}
	return bytes
}

func unpack(bytes []byte) []float32 {
	values := make([]float32, len(bytes)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(bytes[4*i:]))
	}
	return values
}

func unpack64(bytes []byte) []float64 {
	values := make([]float64, len(bytes)/8)
	for i := range values {
		values[i] = math.Float64frombits(binary.LittleEndian.Uint64(bytes[8*i:]))
	}
	return values
}
