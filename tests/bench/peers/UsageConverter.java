import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.storage.Converter;

/** A usage event as a flat record with a schema: the JDBC sink demands one, and the JSON that Connect itself reads has none. */
public class UsageConverter implements Converter {
    private static final Schema FLAT = SchemaBuilder.struct().name("usage")
        .field("event_source", Schema.STRING_SCHEMA).field("event_id", Schema.STRING_SCHEMA)
        .field("account_id", Schema.STRING_SCHEMA).field("occurred_at", Schema.STRING_SCHEMA)
        .field("metric", Schema.STRING_SCHEMA).field("service", Schema.STRING_SCHEMA)
        .field("model", Schema.OPTIONAL_STRING_SCHEMA).field("input", Schema.OPTIONAL_FLOAT64_SCHEMA)
        .field("output", Schema.OPTIONAL_FLOAT64_SCHEMA).field("quantity", Schema.OPTIONAL_FLOAT64_SCHEMA)
        .field("user_id", Schema.OPTIONAL_STRING_SCHEMA).field("execution_id", Schema.OPTIONAL_STRING_SCHEMA).build();

    private final ObjectMapper mapper = new ObjectMapper();

    @Override
    public void configure(Map<String, ?> settings, boolean isKey) {
    }

    @Override
    public byte[] fromConnectData(String topic, Schema schema, Object value) {
        throw new UnsupportedOperationException("a sink only reads");
    }

    @Override
    public SchemaAndValue toConnectData(String topic, byte[] value) {
        try {
            JsonNode event = mapper.readTree(value);
            return new SchemaAndValue(FLAT, flat(event, event.path("data")));
        } catch (IOException e) {
            throw new DataException("not JSON", e);
        }
    }

    private static Struct flat(JsonNode event, JsonNode data) {
        Double input = number(data.path("quantities").path("input"));
        Double output = number(data.path("quantities").path("output"));
        return new Struct(FLAT)
            .put("event_source", event.path("source").textValue()).put("event_id", event.path("id").textValue())
            .put("account_id", event.path("subject").textValue()).put("occurred_at", event.path("time").textValue())
            .put("metric", data.path("metric").textValue()).put("service", data.path("service").textValue())
            .put("model", data.path("model").textValue()).put("input", input).put("output", output)
            .put("quantity", input == null ? number(data.path("quantity")) : Double.valueOf(input + output))
            .put("user_id", data.path("user").textValue()).put("execution_id", data.path("execution").textValue());
    }

    private static Double number(JsonNode node) {
        return node.isNumber() ? node.doubleValue() : null;
    }
}
